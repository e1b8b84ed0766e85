-- A place for a new job, or the reason why not.
-- id, pool, fields of the record as JSON, limit, of an account, of an address, of kept
-- jobs of an address or '', deadline_s, once or ''
-- -> {word, id or how many there are, when it was created}
local id, pool, job = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local limit, of_account, of_address = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local of_kept, deadline_s, once = tonumber(ARGV[7]), ARGV[8], ARGV[9]
if once ~= '' then
  local before = redis.call('GET', once_key(once))
  local asked = before and redis.call('HMGET', job_key(before), 'body', 'created')
  if asked and asked[1] then
    return {asked[1] == job.body and 'joined' or 'reused', before, asked[2]}
  end
end
local at, live = now(), set_of('live', pool)
local account, address = account_key(job.account), address_key(job.address)
local function n_live_of(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', at)
  return redis.call('ZCARD', key)
end
local n_live = redis.call('ZCARD', live)
if n_live >= limit then return {'queue_full', n_live} end
if n_live_of(account) >= of_account then return {'account_limit', n_live} end
if n_live_of(address) >= of_address then return {'address_limit', n_live} end
if job.kept == 1 and of_kept then
  local n_kept = 0
  for _, other in ipairs(redis.call('ZRANGE', address, 0, -1)) do
    n_kept = n_kept + (redis.call('HGET', job_key(other), 'kept') == '1' and 1 or 0)
  end
  if n_kept >= of_kept then return {'kept_limit', n_live} end
end
local expires = at + deadline_s
for name, value in pairs(job) do redis.call('HSET', job_key(id), name, value) end
redis.call('HSET', job_key(id), 'state', 'waiting', 'attempt', 0, 'pool', pool,
           'created', at, 'expires', expires, 'watched', at + VET_S, 'suspect', 0,
           'content', '', 'once', once)
redis.call('EXPIRE', job_key(id), deadline_s + KEEP_S)
redis.call('ZADD', live, at, id)
for _, key in ipairs({account, address}) do
  redis.call('ZADD', key, expires + WATCH_S, id)
  redis.call('EXPIRE', key, deadline_s + KEEP_S)
end
redis.call('SADD', 'edge:pools', pool)
if once ~= '' then
  redis.call('SET', once_key(once), id, 'EX', deadline_s + KEEP_S)
end
return {'admitted', id, string.format('%.17g', at)}
