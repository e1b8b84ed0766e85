-- Notes that another model is wanted as the default, for an `edge up` that will load it.
-- args: model, with_gap
-- reply: wished | known (it is on its way) | busy (another one is) | absent (no `edge up`)
if redis.call('EXISTS', supervisor_key()) == 0 then return 'absent' end
local switch = fields_of(switch_key(), 'model', 'state')
if switch.state and switch.state ~= 'done' and switch.state ~= 'failed' then
  return switch.model == args.model and 'known' or 'busy'
end
redis.call('HSET', switch_key(), 'model', args.model, 'with_gap', args.with_gap,
           'state', 'wished', 'message', '')
redis.call('EXPIRE', switch_key(), SWITCH_S)  -- its `edge up` may die
return 'wished'
