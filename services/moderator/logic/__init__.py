"""The moderator's use cases (`moderator`), what it does itself (`leased_steps`), and their ports.

Decisions are pure functions of `model.rules`; here they meet the store, the clock, the model and those who watch.
"""
