"""The zoo: what its systems are worth, beside their sources' claims."""
