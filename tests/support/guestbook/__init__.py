"""A second application on mesh, with everything that one has: its own protos, service, topic, errors and command.

It shows that mesh knows no application: nothing of it is changed or configured for this one. Started as
`python -m tests.support.guestbook`; its story is tests/integration/test_second_application.py.
"""
