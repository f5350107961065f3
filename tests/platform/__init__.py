"""A stand-in of the platform whose database the studio adopts: its rows after years of use, and what it goes on doing."""
