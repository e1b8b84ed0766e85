-- What a record says; `watch` says that somebody waits for the answer.
-- id, watch -> {state, attempt, pool, owner, model, created, outcome or false}, or nil
local key, at = job_key(ARGV[1]), now()
local job = redis.call('HMGET', key, 'state', 'attempt', 'pool', 'owner', 'model',
                       'created', 'outcome')
if not job[1] then return nil end
if ARGV[2] == '1' then redis.call('HSET', key, 'watched', at + WATCH_S) end
return job
