% An Erlang host: runs Command with Args behind open_port, checks that messages come back, in order, and how it ends.
%   Module:main([Width, Command, Arg...])
-module(open_port).
-export([main/1]).

main([Width, Command | Args]) ->
    N = list_to_integer(Width),
    Port = erlang:open_port({spawn_executable, Command},
                            [{args, Args}, {packet, N}, binary, exit_status]),
    Most = min(1000000, (1 bsl (8 * N)) - 1),
    Messages = [<<"echo ", (binary:copy(<<"x">>, Size))/binary>> || Size <- [0, 1, 100, 250, Most - 5], Size =< Most - 5],
    [port_command(Port, Message) || Message <- Messages],
    [receive {Port, {data, Reply}} -> <<"echo ", Reply/binary>> = Message end || Message <- Messages],
    port_command(Port, <<"throw away">>),
    receive {Port, {exit_status, Status}} -> io:format("~B replies, exit status ~B~n", [length(Messages), Status]) end,
    halt(0).
