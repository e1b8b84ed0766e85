-- Keeps the lease of an attempt.
-- id, attempt -> 1, or 0 when it is no longer the one, or nobody waits for its answer
local id, at = ARGV[1], now()
local job = redis.call('HMGET', job_key(id), 'state', 'attempt', 'pool', 'kept',
                       'watched')
if job[1] ~= 'running' or job[2] ~= ARGV[2] then return 0 end
if is_forgotten(job[4], job[5], at) then return 0 end
redis.call('ZADD', set_of('running', job[3]), at + LEASE_S, id)
return 1
