%% Echoes frames by the port driver that made up the protocol: erl ... -run echo main 4
-module(echo).
-export([main/1]).

main([Width]) ->
    Port = open_port({fd, 0, 1}, [{packet, list_to_integer(Width)}, binary, eof]),
    loop(Port).

loop(Port) ->
    receive
        {Port, {data, Message}} -> port_command(Port, Message), loop(Port);
        {Port, eof} -> halt(0)
    end.
