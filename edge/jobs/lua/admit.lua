-- Makes a reservation in a pool for one or several new jobs, or finds the job that was
-- submitted before under the same idempotency name.
-- args: job_ids, pool, record (their first fields), n_jobs, n_of_account, n_of_address,
--       n_kept (absent: unlimited), deadline_s, idempotency_name (absent: none), n_slots,
--       job_s (how long a job takes if none has ended yet), joins_only (absent: makes
--       a new one too)
-- reply: status = admitted | joined | reused, job_id, created, is_queued (of a joined
--        one: it is in the queue, or was)
--        status = absent: there is no earlier one, and `joins_only`
--        status = retired: the pool takes no new jobs
--        status = queue_full | account_limit | address_limit | kept_limit, pause_s,
--        spacing_s
--
-- Refused clients are told to return one after the other, as far apart as jobs start:
-- those of an account, and, where the pool is full, the first ones of all accounts. So an
-- account that asks too early postpones only itself.
local ids, record, name = args.job_ids, args.record, args.idempotency_name
local same = fields_of(job_key(ids[1]), 'state', 'created')
if same.state then  -- sent twice, because the first reply was lost, or withdrawn
  return reply({status = 'admitted', job_id = ids[1], created = same.created or 0})
end
if name then
  local earlier = redis.call('GET', idempotency_key(name))
  local job = earlier and fields_of(job_key(earlier), 'body_hash', 'created', 'score',
                                           'state', 'pool')
  local is_queued = job and (job.score or job.state ~= 'waiting')
  local is_same = job and job.body_hash == record.body_hash
  if is_same and not is_queued and job.pool ~= args.pool then
    -- its web process died, and another model is served by now
    end_job(earlier, 'cancelled', failed('cancelled', LEFT))
  elseif job and job.body_hash then
    if is_same then redis.call('HSET', job_key(earlier), 'joined', 1) end
    return reply({status = is_same and 'joined' or 'reused', job_id = earlier,
                  created = job.created, is_queued = is_queued and 1 or 0})
  end
end
if args.joins_only then return reply({status = 'absent'}) end
if redis.call('EXISTS', retired_key(args.pool)) == 1 then
  return reply({status = 'retired'})
end
local at, live = now(), live_key(args.pool)
local account, address = account_key(record.account), address_key(record.address)
local function n_live_of(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', at)
  return redis.call('ZCARD', key)
end
local n_live = redis.call('ZCARD', live)
local function refusal(status)
  local pace = redis.call('GET', pace_key(args.pool))
  local job_s = pace and cjson.decode(pace).job_s or args.job_s
  local spacing_s = math.max(1.25 * job_s / math.max(args.n_slots, 1), LEAST_SPACING_S)
  if n_live > 0 then  -- jobs may take longer now: four times the age of the middle one
    local rank = math.floor(n_live / 2)
    local middle = redis.call('ZRANGE', live, rank, rank, 'WITHSCORES')
    spacing_s = math.max(spacing_s, 4 * (at - tonumber(middle[2])) / n_live)
  end
  local own, of_all = returns_key(record.account), returns_key(args.pool)
  local is_first = number_at(own) <= at and status == 'queue_full'
  local latest = math.max(at, number_at(is_first and of_all or own))
  local returns = math.min(latest + #ids * spacing_s, at + MOST_PAUSE_S)
  redis.call('SET', own, returns, 'EX', MOST_PAUSE_S)
  if is_first then redis.call('SET', of_all, returns, 'EX', MOST_PAUSE_S) end
  return reply({status = status, pause_s = returns - at, spacing_s = spacing_s})
end
if n_live + #ids > args.n_jobs then return refusal('queue_full') end
if n_live_of(account) + #ids > args.n_of_account then return refusal('account_limit') end
if n_live_of(address) + #ids > args.n_of_address then return refusal('address_limit') end
if record.kept == 1 and args.n_kept then
  local n_kept = 0
  for _, other in ipairs(redis.call('ZRANGE', address, 0, -1)) do
    local job = fields_of(job_key(other), 'kept', 'watched')
    local is_unread = job.kept == '1' and tonumber(job.watched) < at
    n_kept = n_kept + (is_unread and 1 or 0)
  end
  if n_kept >= args.n_kept then return refusal('kept_limit') end
end
local expires, lifetime_s = at + args.deadline_s, args.deadline_s + KEEP_S
local fields = {'state', 'waiting', 'attempt', 0, 'pool', args.pool, 'created', at,
                'expires', expires, 'watched', at + VET_S, 'suspect', 0, 'content', '',
                'idempotency_name', name or ''}
for field, value in pairs(record) do
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end
for _, id in ipairs(ids) do
  redis.call('HSET', job_key(id), unpack(fields))
  redis.call('EXPIRE', job_key(id), lifetime_s)
  redis.call('ZADD', live, at, id)
  for _, key in ipairs({account, address}) do
    redis.call('ZADD', key, expires + WATCH_S, id)
    redis.call('EXPIRE', key, lifetime_s)
  end
end
redis.call('SADD', pools_key(), args.pool)
if name then redis.call('SET', idempotency_key(name), ids[1], 'EX', lifetime_s) end
return reply({status = 'admitted', job_id = ids[1], created = at})
