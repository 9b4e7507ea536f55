"""Is a canary worse than its baseline? Label betting: valid however often it is read, at any rate of traffic."""
