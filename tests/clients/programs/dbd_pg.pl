#!/usr/bin/perl
# The same as scenario.py, for Perl's DBD::Pg.
use strict;
use warnings;
use DBI;

while (my $line = <STDIN>) {
    chomp $line;
    my ($role, $file) = split /\t/, $line;
    my $token = sub { open my $text, '<', $file or die $!; local $/; return <$text> };
    # shown: dbd_pg
    my $connection = DBI->connect("dbi:Pg:", $role, $token->(), { PrintError => 0 });
    # end
    if ($connection) {
        print "ok\t", $connection->selectrow_array("SELECT session_user"), "\n";
        $connection->disconnect;
    } else {
        print "error\t", join(" ", split /\s+/, DBI->errstr), "\n";
    }
}
