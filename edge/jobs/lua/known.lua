-- Counts an answer that was known, and for which there was no job.  tenant, model
use(ARGV[1], ARGV[2], {requests = 1, cached = 1})
