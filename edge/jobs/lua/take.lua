-- Takes the switch that is wished, for one `edge up` alone.
-- args: message
-- reply: model, with_gap; nil when there is none
local switch = fields_of(switch_key(), 'model', 'state', 'with_gap')
if switch.state ~= 'wished' then return nil end
redis.call('HSET', switch_key(), 'state', 'loading', 'message', args.message)
redis.call('EXPIRE', switch_key(), SWITCH_S)
return reply({model = switch.model, with_gap = switch.with_gap})
