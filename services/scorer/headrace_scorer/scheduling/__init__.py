"""Jobs that are created again and again, at the times of cron expressions."""
