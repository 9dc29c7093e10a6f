"""The fault suite: what auralign leaves if it is killed, damaged, filled up or fed with hostile content.

    tools/fault_suite.sh --only kills,flips        runs classes of faults, and writes their figures into RELIABILITY.md

A class is a function that plans a `Try` for each fault. It survives if the work is finished or refused as promised, it is lost
if it cannot be, and it is silent if the result differs, or foreign code ran, without a message.
"""
