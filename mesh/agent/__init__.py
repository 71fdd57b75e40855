"""What any agent needs to take part in a conversation: floors, memory, questions, deadlines, and its API.

A service that is an agent hands in what the agent says (`ports.Speaker`) and how its turns travel; this package keeps
the promises around it: each turn once, a stored turn sent again without a model call, a revoked floor given up. It
refuses to know what the conversation is about. Callers: services that are agents, by `wiring`.
"""
