"""`edge up`: which processes run, in which order, as which user, supervised how."""
