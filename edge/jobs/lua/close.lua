-- The last event of an attempt.  id, attempt, event
close(ARGV[1], ARGV[2], ARGV[3])
