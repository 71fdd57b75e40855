"""The debater: answers floors from its own memory, answers questions, and remembers what it said.

Deployed as `team-a`, `team-b`, and as any other agent by one more manifest. It owns its utterances and what it heard;
it refuses to own the order of turns, which is the moderator's.
"""
