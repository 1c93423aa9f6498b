"""Assignments of the book: students' versions, and their grading.

A source notebook, ``chapters/*/assignment/NAME.ipynb``, is in the format of nbgrader: solutions
between ``### BEGIN SOLUTION`` and ``### END SOLUTION``, tests that only the grader runs between
``### BEGIN HIDDEN TESTS`` and ``### END HIDDEN TESTS``.
"""
