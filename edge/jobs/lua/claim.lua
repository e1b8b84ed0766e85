-- The first waiting job of a pool, now running.
-- pool, may be a suspect
-- -> {id, attempt, request, seconds left, is a suspect}, 'later', or nil
local pool, waiting, at = ARGV[1], set_of('waiting', ARGV[1]), now()
while true do
  local id = redis.call('ZRANGE', waiting, 0, 0)[1]
  if not id then return nil end
  local job = redis.call('HMGET', job_key(id), 'state', 'expires', 'kept', 'watched',
                         'content', 'request', 'schema', 'culprit')
  local is_suspect = deaths_of(job[5] or '', job[7]) > 0 or guilt_of(job[8] or '') > 0
  if job[1] ~= 'waiting' then
    redis.call('ZREM', waiting, id)
  elseif tonumber(job[2]) < at then
    end_job(id, 'expired', failed('deadline_exceeded', LATE))
  elseif is_forgotten(job[3], job[4], at) then
    end_job(id, 'cancelled', failed('cancelled', LEFT))
  elseif is_quarantined(job[5] or '', job[7], job[8] or '') then
    end_job(id, 'failed', failed('request_quarantined', QUARANTINED))
  elseif is_suspect and ARGV[2] == '0' then
    return 'later'
  else
    redis.call('HSET', job_key(id), 'state', 'running', 'started', at,
               'suspect', is_suspect and 1 or 0)
    redis.call('ZREM', waiting, id)
    redis.call('ZADD', set_of('running', pool), at + LEASE_S, id)
    local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
    return {id, attempt, job[6], tostring(job[2] - at), is_suspect and 1 or 0}
  end
end
