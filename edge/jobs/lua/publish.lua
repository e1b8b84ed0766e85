-- Appends events to the stream of an attempt; `first` is the number of the first.
-- args: job_id, attempt, first, events = [event ...]
-- reply: 1, or 0 when the stream is closed
-- An event that is there already was sent twice, because the first reply was lost.
local key = events_key(args.job_id, args.attempt)
for i, event in ipairs(args.events) do
  local added = redis.pcall('XADD', key, (args.first + i - 1) .. '-0', 'event', event)
  if type(added) == 'table' and added.err then
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    if not last or not string.find(added.err, 'smaller') then return added end
    if tonumber(string.match(last[1], '^%d+')) > 1e11 then return 0 end
  end
end
redis.call('EXPIRE', key, KEEP_S)
return 1
