"""Alerts: what people are told, by which channel, in how many messages.

``rules`` says what each kind of alert means and what helps, ``routing`` who is told of it
and when, ``notice`` what a message holds, ``words`` how it reads: all pure. ``slack``,
``email`` and ``webhook`` send a notice; ``spool`` keeps alerts while the database is away.
``exportd.relay`` tells the story.
"""
