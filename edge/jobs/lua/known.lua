-- Counts an answer from the cache, for which there was no job.  args: tenant, model
use(args.tenant, args.model, {requests = 1, cached = 1})
