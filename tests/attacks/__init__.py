"""Attacks on the whole product: mutated files and command lines, kills, random shapes.

    python -m tests.attacks --minutes 5 --seed 1 --only pictures checkpoints

An attack is a module with two functions. `prepare(folder)` is called once.
`case(state, work, random)` is called for each number in a forked process; `work` is an empty folder
for the case's files. It returns the fault in words. Exceptions, crashes, hangs and too much memory
are faults, too. The seed and the number define a case, so that it can be repeated.
"""
