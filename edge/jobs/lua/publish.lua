-- Events of an attempt, the first of which has the number `first`.
-- id, attempt, first, event ... -> 1, or 0 when its stream is closed
-- What is there already was sent twice, because the first reply got lost.
local key = events_key(ARGV[1], ARGV[2])
for i = 4, #ARGV do
  local added = redis.pcall('XADD', key, (ARGV[3] + i - 4) .. '-0', 'event', ARGV[i])
  if type(added) == 'table' and added.err then
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    if not last or not string.find(added.err, 'smaller') then return added end
    if tonumber(string.match(last[1], '^%d+')) > 1e11 then return 0 end
  end
end
redis.call('EXPIRE', key, KEEP_S)
return 1
