"""A fake Triton with scripted faults: alone, with made-up answers, or in front of a real one."""
