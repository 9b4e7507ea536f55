"""A pool in simulated time: traces, service times, cold starts and failures around the policy that runs for real."""
