"""The operator's commands, one file a group. Nobody imports anything from here."""
