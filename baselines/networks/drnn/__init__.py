"""The deep recurrent network of Huang et al., the masking layer inside (ISMIR 2014, TASLP 2015)."""
