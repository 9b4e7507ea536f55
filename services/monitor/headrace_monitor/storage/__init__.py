"""The monitor's database: its schema. What reads and writes it is beside what decides."""
