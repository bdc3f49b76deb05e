"""The front ends: each turns outside requests into calls of the session, and hits into its own output."""
