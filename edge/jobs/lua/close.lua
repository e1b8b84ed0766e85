-- Writes the last event of an attempt.  args: job_id, attempt, event
close(args.job_id, args.attempt, args.event)
