"""Attacks on the whole product: mutated files and command lines, kills, random shapes.

    python -m tests.attacks --minutes 5 --seed 1 --only pictures checkpoints

An attack is a module with `prepare(folder)`, called once, and `case(state, work, random)`, called
for each number in a process of its own kind, `work` being an empty folder for the case's files. It
returns what is wrong, in words; an exception, a death, a wait and too much memory are wrong anyway.
The seed and the number make a case, so that it can be repeated.
"""
