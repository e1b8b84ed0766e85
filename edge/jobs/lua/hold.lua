-- Keeps room in the broker for the pixels of a question's jobs: for all or for none. They
-- may fill half of its memory, those of one account or address half of that. What counts
-- are the jobs that have not ended, so that the room is free however a job ends.
-- args: job_ids, n_bytes (of each)
-- reply: status = held | full | account_full | address_full, most_bytes (of one client)
--        status = gone: its job has ended, or is in the queue already
local job = fields_of(job_key(args.job_ids[1]), 'state', 'score', 'account', 'address')
if job.state ~= 'waiting' or job.score then return reply({status = 'gone'}) end
local is_own = {}
for _, id in ipairs(args.job_ids) do is_own[id] = true end
local n_bytes = #args.job_ids * args.n_bytes
local of_all, of_account, of_address = n_bytes, n_bytes, n_bytes
for _, pool in ipairs(redis.call('SMEMBERS', pools_key())) do
  for _, id in ipairs(redis.call('ZRANGE', live_key(pool), 0, -1)) do
    local other = fields_of(job_key(id), 'picture_bytes', 'account', 'address')
    local n = not is_own[id] and tonumber(other.picture_bytes) or 0
    of_all = of_all + n
    if other.account == job.account then of_account = of_account + n end
    if other.address == job.address then of_address = of_address + n end
  end
end
-- A server without a limit of its own has that of its machine; one that may not say it
-- has its operator's word.
local info = redis.pcall('INFO', 'memory')
local function memory(name)
  return tonumber(type(info) == 'string' and info:match(name .. ':(%d+)') or 0)
end
local limit = memory('maxmemory')
if limit == 0 then limit = memory('total_system_memory') end
if limit == 0 then limit = math.huge end
local most, status = limit / 4, 'held'
if of_address > most then status = 'address_full' end
if of_account > most then status = 'account_full' end
if of_all > 2 * most and status == 'held' then status = 'full' end
if status == 'held' then
  for _, id in ipairs(args.job_ids) do
    redis.call('HSET', job_key(id), 'picture_bytes', args.n_bytes)
  end
end
return reply({status = status, most_bytes = most})
