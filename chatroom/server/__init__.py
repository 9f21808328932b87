"""Puts it together: rules, wire, net and store become a server.

``app.py`` starts and stops it, ``connection.py`` is one client, ``show.py`` carries out
what the rules decided, ``eventlog.py`` writes down what happened.
"""
