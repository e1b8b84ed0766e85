-- Makes a model the default, if a live worker serves it.
-- args: model
-- reply: moved | already | absent
local live = redis.call('ZRANGEBYSCORE', fleet_key(), now() - DEAD_AFTER_S, '+inf')
for _, worker in ipairs(live) do
  local info = redis.call('HGET', fleet_info_key(), worker)
  if info and cjson.decode(info).model == args.model then
    local before = redis.call('HGET', default_key(), 'model')
    if before == args.model then return 'already' end
    redis.call('HSET', default_key(), 'model', args.model, 'before', before or '')
    return 'moved'
  end
end
return 'absent'
