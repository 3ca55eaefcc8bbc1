# The hook of mfa-agent for fish. In ~/.config/fish/config.fish:  mfa-agent init fish | source
#
# At a prompt that has nothing to do it costs a look at two files. fish has no cheap clock: the agent takes the
# lease away when the time is up, and in case that it died, the lease bears the time of its end, and the terminal
# that of the last echo. For the minutes that are shown the clock is asked at every sixteenth command.

if status is-interactive

    set -g __mfa_agent_bin @MFA_AGENT@
    set -g __mfa_agent_ask
    set -g __mfa_agent_ticks
    # By its own name it is looked at in half the time that /dev/stdin takes.
    set -g __mfa_agent_terminal (builtin realpath /dev/stdin 2>/dev/null)

    # Nothing is older than what is not there, so one test tells whether the lease is gone and whether its time is up.
    function __mfa_agent_prompt --on-event fish_prompt
        builtin test "$__mfa_agent_terminal" -ot "$MFA_AGENT_LEASE"; or __mfa_agent_look prompt
    end

    # Each command takes a tick away; after the last one the clock is asked.
    function __mfa_agent_before --on-event fish_preexec
        builtin test "$__mfa_agent_terminal" -ot "$MFA_AGENT_LEASE"; and set -e __mfa_agent_ticks[1]; or __mfa_agent_look command
    end

    # Something may have changed, or it is time to ask the clock.
    function __mfa_agent_look
        if not set -q MFA_AGENT_LEASE
            set -e MFA_AGENT_PROMPT
            return 0
        end
        # A trace would show the secrets.
        set -l fish_trace
        # A question waits for the next prompt: before a command nobody can be asked.
        builtin test -n "$__mfa_agent_ask"; and builtin test "$argv[1]" = command; and return
        set -g __mfa_agent_ticks x x x x x x x x x x x x x x x x
        if builtin test -e "$MFA_AGENT_LEASE"; and __mfa_agent_reckon
            return
        end
        set -g __mfa_agent_ask
        if builtin test "$argv[1]" = command
            command $__mfa_agent_bin hook sync --shell fish --command | builtin source
        else
            command $__mfa_agent_bin hook sync --shell fish | builtin source
        end
        if builtin test -n "$__mfa_agent_ask"; and builtin test "$argv[1]" != command; and builtin test -t 0; and builtin test -t 2; and builtin test "$TERM" != dumb; and builtin test -z "$INSIDE_EMACS$MC_SID"
            set -g __mfa_agent_ask
            command $__mfa_agent_bin hook ask --shell fish | builtin source
        end
        # Something was typed already: it is asked at the next prompt.
        if builtin test -n "$__mfa_agent_ask"; and not functions -q __mfa_agent_again
            function __mfa_agent_again --on-event fish_prompt
                builtin test -z "$__mfa_agent_ask"; or __mfa_agent_look prompt
            end
        end
        __mfa_agent_uncovered
        __mfa_agent_reckon
        return 0
    end

    # A universal key comes to light when the global one goes: it must not be used unknowingly.
    function __mfa_agent_uncovered
        set -qU AWS_ACCESS_KEY_ID; and not set -qg AWS_ACCESS_KEY_ID; and not set -q __mfa_agent_told; or return
        set -g __mfa_agent_told 1
        builtin echo 'mfa-agent: from here on the universal AWS_ACCESS_KEY_ID is in use; set -eU AWS_ACCESS_KEY_ID removes it' >&2
    end

    # Works out $MFA_AGENT_PROMPT. Fails once the time is up.
    function __mfa_agent_reckon
        builtin test -z "$__mfa_agent_ask"; or return 1
        # Of a role that was named by its ARN, the role's name.
        set -g MFA_AGENT_PROMPT (builtin string replace -r '^[^,]*,arn:.*:role/(.*/)?' '' -- "$MFA_AGENT_PROFILE")
        # Without an end the lease alone tells.
        builtin string match -qr '^[0-9]{1,11}$' -- "$MFA_AGENT_EXP"; or return 0
        # The lease's time is the session's end; where there is none of ours, the age of `/` tells the time of day.
        set -l left
        if builtin test -f "$MFA_AGENT_LEASE"
            set left (builtin path mtime -R -- $MFA_AGENT_LEASE)
            builtin string match -q -- '-*' "$left"; or return 1
        else
            set -l now (builtin math "$(builtin path mtime /) + $(builtin path mtime -R /)")
            set left (builtin math "$now - $MFA_AGENT_EXP")
            builtin test "$left" -lt 0; or return 1
            # Without a lease to look at, the agent is asked now and then.
            set -l look (builtin string match -r '^[0-9]{1,11}(?=-)' -- "$MFA_AGENT_LOOK")
            builtin test -z "$look"; or builtin test "$now" -lt "$look"; or return 1
        end
        set -q AWS_ACCESS_KEY_ID; or set -q AWS_CONTAINER_CREDENTIALS_FULL_URI; or return 0
        set -l time (builtin math --scale=0 "-($left) / 3600"; builtin math --scale=0 "-($left) % 3600 / 60")
        builtin test $time[1] -gt 0; and set time[1] $time[1]h; or set -e time[1]
        set -g MFA_AGENT_PROMPT "$MFA_AGENT_PROMPT "(builtin string join '' -- $time)m
        return 0
    end

    # `mfa-agent use` acts on this shell; everything else is the program's own.
    function mfa-agent --description 'AWS sessions with MFA'
        if builtin test "$argv[1]" = doctor
            # The one who cannot see it from outside.
            set -lx MFA_AGENT_HOOK fish
            command $__mfa_agent_bin $argv
            return
        end
        if builtin test "$argv[1]" != use; or builtin contains -- -h $argv; or builtin contains -- --help $argv
            command $__mfa_agent_bin $argv
            return
        end
        set -l fish_trace
        set -l code (command $__mfa_agent_bin hook use --shell fish $argv[2..-1])
        set -l outcome $status
        if builtin test $outcome -eq 0
            builtin printf '%s\n' $code | builtin source
            set -g __mfa_agent_ask
            set -g __mfa_agent_ticks
            set -q MFA_AGENT_LEASE; and __mfa_agent_reckon; or set -g MFA_AGENT_PROMPT
            __mfa_agent_uncovered
        end
        return $outcome
    end

    complete -c mfa-agent -f
    complete -c mfa-agent -n __fish_use_subcommand -a 'agent aws-mfa completions console credential-process device doctor env exec init keys lock login logout man policy profiles setup status unlock use why'
    complete -c mfa-agent -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from activate add list remove resync seed' -a 'activate add list remove resync seed'
    complete -c mfa-agent -n '__fish_seen_subcommand_from keys; and not __fish_seen_subcommand_from delete disable enable import list rotate' -a 'delete disable enable import list rotate'
    complete -c mfa-agent -n '__fish_seen_subcommand_from keys; and __fish_seen_subcommand_from import' -F
    complete -c mfa-agent -n '__fish_seen_subcommand_from policy; and not __fish_seen_subcommand_from attach check detach print' -a 'attach check detach print'
    complete -c mfa-agent -n '__fish_seen_subcommand_from setup' -l region -x -a '(command $__mfa_agent_bin hook regions 2>/dev/null)'
    complete -c mfa-agent -n '__fish_seen_subcommand_from agent console credential-process env exec login logout status use why' -l source -x -a '(command $__mfa_agent_bin hook profiles 2>/dev/null)'
    complete -c mfa-agent -n '__fish_seen_subcommand_from console credential-process doctor env login logout setup status unlock use why' -a '(command $__mfa_agent_bin hook profiles 2>/dev/null)'
end
