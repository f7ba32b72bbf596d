"""What ``exportd verify`` proves, as pure functions: stored facts in, findings out.

``layout``: the rows of the database agree with each other. ``spans``: every byte of an
export is accounted for. ``segment``: what the exports of a segment show, and what is
stored of it, are the same messages in the same order.
"""
