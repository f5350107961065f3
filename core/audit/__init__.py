"""Read-only questions of the dashboard: SQL in plain sight, typed rows out. They never write, and no screen is known
here. Each is asked through `Database.as_reader`, so what a person may not see is not there, and a question that
takes longer than five seconds is stopped (QueryTimedOut).
"""
