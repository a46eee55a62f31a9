#!/usr/bin/perl
# The same as scenario.py, for Perl's DBD::Pg.
use strict;
use warnings;
use DBD::Pg ':async';
use DBI;

$| = 1;
my $asked = "SELECT azure_ad_auth.session_claims() ->> 'uti'";
my $sleep = "SELECT pg_sleep(600)";
my $sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query = '$sleep' AND state = 'active'";

sub play {
    my ($name, $connect, $tokens) = @_;
    my $one = $connect->();
    return $one->selectrow_array("SELECT session_user") if $name eq 'login';
    shift @$tokens if $name eq 'refresh';
    my $other = $connect->();
    return $one->selectrow_array($asked) . " " . $other->selectrow_array($asked) if $name eq 'refresh';
    $one->do($sleep, { pg_async => PG_ASYNC });
    1 until $other->selectrow_array($sleeps);
    $one->pg_cancel or die "not canceled\n";
    return "canceled " . $one->selectrow_array("SELECT session_user");
}

while (my $line = <STDIN>) {
    chomp $line;
    my ($name, $role, @tokens) = split /\t/, $line;
    my $token = sub { open my $text, '<', $tokens[0] or die $!; local $/; return <$text> };
    my $connect = sub {
        # shown: dbd_pg
        my $connection = DBI->connect("dbi:Pg:", $role, $token->(), { PrintError => 0, RaiseError => 1 });
        # end
        return $connection;
    };
    my $said = eval { play($name, $connect, \@tokens) };
    print defined $said ? "ok\t$said\n" : "error\t" . join(" ", split /\s+/, DBI->errstr // $@) . "\n";
}
