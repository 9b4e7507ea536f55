"""From decisions to replicas: the leader's rounds, and what actuators were asked."""
