"""The debater: an agent that argues its seat's side, and answers questions.

Deployed as `team-a`, `team-b`, and as any other agent by one more manifest. It owns what it says, and how its turns
travel; floors, memory and the API are mesh.agent's, the order of turns is the moderator's.
"""
