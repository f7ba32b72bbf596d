"""Alerts: what people are told, of whom, when, and how it reads. All of it is pure.

``rules`` says what each kind of alert means and what helps, ``routing`` who is told and in how
few messages, ``notice`` what a message holds, ``words`` how it reads, ``listed`` what a list
shows. ``exportd.relay`` tells the story, ``exportd.channels`` sends.
"""
