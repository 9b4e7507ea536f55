"""How good were the predictions, now that labels are there?"""
