#!/usr/bin/env perl
# A small uploader that is not ours: files from inbox/ go to the server, and then to sent/. Perl's own modules only.
# `--careless` plants a mistake: a file goes to sent/ before its answer has come, so a failed upload loses it.
use strict;
use warnings;
use HTTP::Tiny;
use IO::Handle;
use Time::HiRes qw(sleep);

my $careless = @ARGV && $ARGV[0] eq '--careless' ? shift @ARGV : '';
my ($data, $server) = @ARGV;
my $stopping = 0;
$SIG{TERM} = sub { $stopping = 1 };
STDOUT->autoflush(1);
my $http = HTTP::Tiny->new(timeout => 2, keep_alive => 0);

sub upload {
    my ($file) = @_;
    open my $in, '<:raw', "$data/inbox/$file" or die "$file: $!\n";
    my $body = do { local $/; <$in> };
    close $in;
    rename "$data/inbox/$file", "$data/sent/$file" or die "$file: $!\n" if $careless;
    my $answer = $http->post("$server/api/Report/WSJF",
        { headers => { 'Content-Type' => 'application/json' }, content => $body });
    print "$file: $answer->{status}\n";
    return $answer->{success} if $careless;
    return unless $answer->{success};
    rename "$data/inbox/$file", "$data/sent/$file" or die "$file: $!\n";
}

print "ready\n";
until ($stopping) {
    opendir my $folder, "$data/inbox" or die "inbox: $!\n";
    my @files = sort grep { /\.json$/ } readdir $folder;
    closedir $folder;
    for my $file (@files) {
        last if $stopping;
        upload($file);
    }
    sleep 0.05;
}
print "stopped\n";
