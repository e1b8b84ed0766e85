-- Makes a model the default, if a live worker serves it.
-- args: model, may_load: also one that is not in memory
-- reply: moved | already | absent
local live = redis.call('ZRANGEBYSCORE', fleet_key(), now() - DEAD_AFTER_S, '+inf')
for _, worker in ipairs(live) do
  local text = redis.call('HGET', fleet_info_key(), worker)
  local info = text and cjson.decode(text) or {}
  local is_loaded = (info.loading_s or cjson.null) == cjson.null
  if info.model == args.model and (is_loaded or args.may_load) then
    local before = redis.call('HGET', default_key(), 'model')
    if before == args.model then return 'already' end
    redis.call('HSET', default_key(), 'model', args.model, 'before', before or '')
    return 'moved'
  end
end
return 'absent'
