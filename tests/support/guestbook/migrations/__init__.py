"""The guestbook's schema, step by step."""
