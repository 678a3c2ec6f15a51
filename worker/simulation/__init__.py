"""What a plan would come to: the planner, the limits and the decisions under a virtual clock, without any server."""
