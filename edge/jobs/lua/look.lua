-- What a job's record says; `watch` records that a client waits for the answer.
-- args: job_id, watch
-- reply: state, attempt, pool, owner, model, created, has_tools, outcome (absent:
--        unfinished); nil when there is no such job
local key = job_key(args.job_id)
local job = fields_of(key, 'state', 'attempt', 'pool', 'owner', 'model', 'created',
                      'has_tools', 'outcome')
if not job.state then return nil end
if args.watch then
  local watched = tonumber(redis.call('HGET', key, 'watched')) or 0
  redis.call('HSET', key, 'watched', math.max(watched, now() + WATCH_S))
end
return reply(job)
