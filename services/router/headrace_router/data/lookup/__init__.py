"""Where an answer is looked for before it is computed: this process, Valkey, and what was computed beforehand."""
