-- Renews the lease of an attempt.
-- args: job_id, attempt
-- reply: 1, or 0 when the attempt does not run any more, or no client waits for it
local id, at = args.job_id, now()
local job = fields_of(job_key(id), 'state', 'attempt', 'pool', 'kept', 'watched',
                      'missed')
if job.state ~= 'running' or tonumber(job.attempt) ~= args.attempt then
  absolve(id, args.attempt)
  return 0
end
if is_forgotten(id, job, at) then return 0 end
redis.call('ZADD', running_key(job.pool), at + LEASE_S, id)
return 1
