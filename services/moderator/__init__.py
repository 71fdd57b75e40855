"""The moderator: opens a debate, gives the floor, records turns, measures redundancy, closes with a verdict.

It owns debates, turns, events, deadlines and budgets. It refuses to own what agents think: that is in their stores.
"""
